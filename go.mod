module github.com/sinew-rpc/sinew

go 1.26
