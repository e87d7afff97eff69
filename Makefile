# For those who like one; every line works by itself.

.PHONY: demo test race lint bench build

demo: ; go run ./cmd/rekey demo
test: ; go test ./...
race: ; go test -race ./...
lint: ; go tool -modfile=tools/go.mod golangci-lint run ./...
bench: ; go test -run '^$$' -bench . ./...

# The functions as AWS Lambda runs them, one folder each, and the layer with the
# agent, for `sam deploy`. The SDKs are compiled without inlining, for smaller files.
small = CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -trimpath -tags lambda.norpc -ldflags '-s -w' \
	-gcflags 'github.com/aws/...=-l' -gcflags 'go.mongodb.org/...=-l'

build:
	for f in functions/*/bootstrap; do $(small) -o dist/$$f/bootstrap ./$$f || exit 1; done
	$(small) -o dist/layers/rekey-agent/extensions/rekey-agent ./cmd/rekey-agent
