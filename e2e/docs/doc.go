// Package shop tests the page of services in a real browser, and the OpenAPI
// document with a validator of somebody else. It is a module of its own, so that
// what drives the browser reaches no user of sinew.
package shop
