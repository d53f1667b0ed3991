// The program of the node's own image. It holds a pod's namespaces until it is told to end. `resolve NAME` waits until
// the name has an address, which is what the init container of a training's workers is for. `get URL` prints what a
// server answers; an https one is asked as the API server is, with the token of the pod's ServiceAccount.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	switch {
	case len(os.Args) == 3 && os.Args[1] == "resolve":
		resolve(os.Args[2], ended)
	case len(os.Args) == 3 && os.Args[1] == "get":
		if err := get(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		<-ended
	}
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

func get(url string) error {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{}
	if strings.HasPrefix(url, "https:") {
		authority, err := os.ReadFile(account + "ca.crt")
		if err != nil {
			return err
		}
		token, err := os.ReadFile(account + "token")
		if err != nil {
			return err
		}
		trusted := x509.NewCertPool()
		trusted.AppendCertsFromPEM(authority)
		transport.TLSClientConfig = &tls.Config{RootCAs: trusted}
		request.Header.Set("Authorization", "Bearer "+string(token))
	}
	client := http.Client{Transport: transport, Timeout: 20 * time.Second}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, answer.Status)
	}
	return nil
}
