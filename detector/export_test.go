package detector

// PhiZ is the numeric core, tested against the reference values.
var PhiZ = phiZ
