module resilientrpc/detector/internal/lab

go 1.25.0

require resilientrpc v0.0.0

replace resilientrpc => ../../..
