//go:build !linux

package thrift

func dropText() {}
