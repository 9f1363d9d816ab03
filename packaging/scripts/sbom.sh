#!/bin/sh
# sbom.sh BINARY DOCUMENT: writes the SBOM of a binary. cyclonedx-gomod makes the version of a commit
# from its author's date or from the tag before; the document gets the version in the binary.
set -eu
cyclonedx-gomod app -json -noserial -notimestamp -std -licenses -assert-licenses -output-version 1.6 -main cmd/parley -output "$2" ../..
version=$(go version -m "$1" | awk '$1 == "mod" { print $3 }')
other=$(sed -n 's|.*"bom-ref": "pkg:golang/[^@]*@\([^?]*\)?type=module#cmd/parley".*|\1|p' "$2" | head -n 1)
sed -i "s|$other|$version|g" "$2"
