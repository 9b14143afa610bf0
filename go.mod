module github.com/sinew-rpc/sinew

go 1.26

require github.com/golang/glog v1.2.5

require (
	github.com/vmihailenco/msgpack/v5 v5.4.1
	golang.org/x/sys v0.45.0
	google.golang.org/protobuf v1.36.12
)

require github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect
