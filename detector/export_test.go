package detector

// PhiZ and ZPhi are the numeric core, tested against the reference values.
var (
	PhiZ = phiZ
	ZPhi = zPhi
)
