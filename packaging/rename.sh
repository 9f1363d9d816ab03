#!/bin/sh
# rename.sh PATH: changes the module path, such as parley to example.org/parley, in all files that
# have it, and builds. The name of the command and of its environment variables stays.
set -eu
cd "$(dirname "$0")/.."
new=${1:?usage: packaging/rename.sh MODULE-PATH}
old=$(go list -m)
[ "$old" != "$new" ] || { echo "the module path is $new already"; exit 0; }
go mod edit -module "$new"
# Imports and other package paths in quotes, and the tests that compare prefixes of such paths.
git ls-files -z -- '*.go' | xargs -0 sed -i \
	-e "s#\"$old/\(cmd\|peer\|signal\|media\)\([/\"]\)#\"$new/\1\2#g" \
	-e "s#\"$old/\.\.\.\"#\"$new/...\"#; s#\(path\|\`\"\`)\), \"$old/\")#\1, \"$new/\")#"
git grep -lz "go doc $old/\|\"$old/cmd/" -- '*.md' Makefile | xargs -0 -r sed -i "s#go doc $old/#go doc $new/#g; s#\"$old/cmd/#\"$new/cmd/#g"
git ls-files -z -- '*.go' | xargs -0 gofmt -w
go build ./...
go vet ./cmd/parley ./peer ./signal ./media
echo "the module path is $new"
