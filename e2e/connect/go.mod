module github.com/sinew-rpc/sinew/e2e/connect

go 1.26.7

replace github.com/sinew-rpc/sinew => ../..

require (
	connectrpc.com/connect v1.21.1
	github.com/sinew-rpc/sinew v0.0.0-00010101000000-000000000000
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	github.com/golang/glog v1.2.5 // indirect
	github.com/klauspost/compress v1.18.0 // indirect
	github.com/vmihailenco/msgpack/v5 v5.4.1 // indirect
	github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
