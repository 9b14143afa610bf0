package main

import (
	"testing"

	"github.com/sinew-rpc/sinew/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }
