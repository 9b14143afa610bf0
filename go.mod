module github.com/sinew-rpc/sinew

go 1.26

require github.com/golang/glog v1.2.5

require golang.org/x/sys v0.45.0
