package redis_test

import (
	"context"
	"fmt"
	"log"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sinew-rpc/sinew/ratelimit/redis"
)

// A thousand calls a second for ten processes together. While Redis is away each
// of them lets through a hundred.
func ExampleNew() {
	l, err := redis.New(redis.Option{
		Redis:     &goredis.UniversalOptions{Addrs: []string{"127.0.0.1:6379"}},
		Key:       "limit:orders",
		Rate:      1000,
		Queue:     100,
		Instances: 10,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	if err := l.Acquire(context.Background()); err != nil {
		fmt.Println("not now:", err)
	}
}
