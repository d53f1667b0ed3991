// The program of the node's own image. It holds a pod's namespaces until it is told to end; `resolve NAME` waits until
// the name has an address, which is what the init container of a training's workers is for.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	if len(os.Args) == 3 && os.Args[1] == "resolve" {
		resolve(os.Args[2], ended)
		return
	}
	<-ended
}

func resolve(name string, ended <-chan os.Signal) {
	for {
		found, err := net.LookupHost(name)
		if err == nil {
			fmt.Println(name, "is", found)
			return
		}
		fmt.Println(err)
		select {
		case <-ended:
			os.Exit(1)
		case <-time.After(500 * time.Millisecond):
		}
	}
}
