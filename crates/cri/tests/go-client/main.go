// Command go-client speaks to a streaming server with the code that kubectl and the kubelet use, so that the server's
// tests have a client that nobody here has written.
//
//	go-client exec    [flags] URL          stdin, stdout and stderr are those of the remote process, and so is the exit code
//	go-client forward [flags] URL PORT     prints a local port that leads to PORT; ends with its stdin
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
	"k8s.io/klog/v2"
)

var (
	transport = flag.String("transport", "spdy", "spdy or websocket")
	protocols = flag.String("protocols", "v4.channel.k8s.io", "what to offer, separated by commas")
	stdin     = flag.Bool("stdin", false, "send stdin")
	stderr    = flag.Bool("stderr", false, "ask for stderr")
	tty       = flag.Bool("tty", false, "ask for a terminal")
	sizes     = flag.String("sizes", "", "sizes of the terminal: 80x24,100x30")
	ca        = flag.String("ca", "", "the authority of the server's certificate")
	cert      = flag.String("cert", "", "the client's certificate")
	key       = flag.String("key", "", "its key")
)

func main() {
	klog.LogToStderr(true)
	verb := os.Args[1]
	if err := flag.CommandLine.Parse(os.Args[2:]); err != nil {
		fail(err)
	}
	target, err := url.Parse(flag.Arg(0))
	if err != nil {
		fail(err)
	}
	config := &restclient.Config{Host: target.Scheme + "://" + target.Host}
	config.TLSClientConfig = restclient.TLSClientConfig{CAFile: *ca, CertFile: *cert, KeyFile: *key}
	switch verb {
	case "exec":
		run(config, target)
	case "forward":
		forward(config, target, flag.Arg(1))
	default:
		fail(errors.New("exec or forward"))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "client:", err)
	os.Exit(120)
}

// queue hands out one size after the other, and then none for good.
type queue chan remotecommand.TerminalSize

func (q queue) Next() *remotecommand.TerminalSize {
	if size, ok := <-q; ok {
		return &size
	}
	select {}
}

func run(config *restclient.Config, target *url.URL) {
	var executor remotecommand.Executor
	var err error
	offered := strings.Split(*protocols, ",")
	if *transport == "websocket" {
		executor, err = remotecommand.NewWebSocketExecutorForProtocols(config, "GET", target.String(), offered...)
	} else {
		var round http.RoundTripper
		var upgrader spdy.Upgrader
		if round, upgrader, err = spdy.RoundTripperFor(config); err != nil {
			fail(err)
		}
		executor, err = remotecommand.NewSPDYExecutorForProtocols(round, upgrader, "POST", target, offered...)
	}
	if err != nil {
		fail(err)
	}
	options := remotecommand.StreamOptions{Stdout: os.Stdout, Tty: *tty}
	if *stdin {
		options.Stdin = os.Stdin
	}
	if *stderr {
		options.Stderr = os.Stderr
	}
	if *sizes != "" {
		queue := make(queue, 100)
		for _, size := range strings.Split(*sizes, ",") {
			var one remotecommand.TerminalSize
			if _, err := fmt.Sscanf(size, "%dx%d", &one.Width, &one.Height); err != nil {
				fail(err)
			}
			queue <- one
		}
		close(queue)
		options.TerminalSizeQueue = queue
	}
	err = executor.StreamWithContext(context.Background(), options)
	var code exec.CodeExitError
	if errors.As(err, &code) {
		os.Exit(code.Code)
	}
	if err != nil {
		fail(err)
	}
}

func forward(config *restclient.Config, target *url.URL, port string) {
	stop, ready := make(chan struct{}), make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	forwarder, err := forwarder(config, target, port, stop, ready)
	if err != nil {
		fail(err)
	}
	go func() {
		<-ready
		ports, err := forwarder.GetPorts()
		if err != nil {
			fail(err)
		}
		fmt.Println(ports[0].Local)
	}()
	if err := forwarder.ForwardPorts(); err != nil {
		fail(err)
	}
}

func forwarder(
	config *restclient.Config, target *url.URL, port string, stop, ready chan struct{},
) (*portforward.PortForwarder, error) {
	if *transport == "websocket" {
		dialer, err := portforward.NewSPDYOverWebsocketDialer(target, config)
		if err != nil {
			return nil, err
		}
		return portforward.New(dialer, []string{":" + port}, stop, ready, io.Discard, os.Stderr)
	}
	round, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: round}, "POST", target)
	return portforward.New(dialer, []string{":" + port}, stop, ready, io.Discard, os.Stderr)
}
