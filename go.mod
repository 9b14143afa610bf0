module github.com/sinew-rpc/sinew

go 1.26

require github.com/golang/glog v1.2.5

require (
	github.com/docker/libkv v0.2.2-0.20180912205406-458977154600
	github.com/google/uuid v1.6.0
	github.com/klauspost/compress v1.18.0
	github.com/tinylib/msgp v1.3.0
	github.com/vmihailenco/msgpack/v5 v5.4.1
	golang.org/x/sys v0.45.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/philhofer/fwd v1.1.3-0.20240916144458-20a13a1f6b7c // indirect
	github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect
)
