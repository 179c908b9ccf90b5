// A plugin made of the interface's own library, for tests: it writes a line for each call, and does what its flags say.
// Installed as a program without flags, it reads them from its configuration.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

type plugin struct {
	stub stub.Stub
	out  io.Writer

	// Calls to be slow at, to end at, and to say no to.
	hang, die, refuse string
	// A container whose memory limit is changed at every StopContainer, and by a line "update" on stdin.
	update string
	// Waits for a line on stdin before Synchronize is answered.
	hold bool
	dump bool

	env, annotation, mount, device, judge string
	memory                                int64
	input                                 *bufio.Scanner
}

func (p *plugin) flags(set *flag.FlagSet) {
	set.StringVar(&p.hang, "hang", "", "call")
	set.StringVar(&p.die, "die", "", "call")
	set.StringVar(&p.refuse, "refuse", "", "call")
	set.StringVar(&p.update, "update", "", "container")
	set.BoolVar(&p.hold, "hold", false, "hold the synchronisation")
	set.BoolVar(&p.dump, "dump", false, "write whole messages")
	set.StringVar(&p.env, "env", "", "NAME=VALUE, or -NAME")
	set.StringVar(&p.annotation, "annotation", "", "NAME=VALUE, or -NAME")
	set.StringVar(&p.mount, "mount", "", "SOURCE:DESTINATION, or -DESTINATION")
	set.StringVar(&p.device, "device", "", "PATH:MAJOR:MINOR")
	set.StringVar(&p.judge, "judge", "", "an environment variable that nobody may set")
	set.Int64Var(&p.memory, "memory", 0, "bytes")
}

func (p *plugin) say(format string, words ...any) {
	fmt.Fprintf(p.out, format+"\n", words...)
}

func (p *plugin) called(ctx context.Context, call string, pod *api.PodSandbox, container *api.Container) error {
	what := call + " " + pod.GetId()
	if container != nil {
		what += "/" + container.GetId()
	}
	p.say("%s", what)
	if p.dump {
		text, _ := json.Marshal(map[string]any{"pod": pod, "container": container})
		p.say("  %s", text)
	}
	switch call {
	case p.hang:
		<-ctx.Done()
		time.Sleep(time.Hour)
	case p.die:
		os.Exit(7)
	case p.refuse:
		return errors.New("not on my watch")
	}
	return nil
}

func (p *plugin) Configure(_ context.Context, config, runtime, version string) (api.EventMask, error) {
	if strings.HasPrefix(config, "-") {
		set := flag.NewFlagSet("config", flag.ExitOnError)
		p.flags(set)
		log := set.String("log", "", "file")
		set.Parse(strings.Fields(config))
		if *log != "" {
			file, err := os.Create(*log)
			if err != nil {
				return 0, err
			}
			p.out = file
		}
	}
	p.say("Configure %s %s", runtime, version)
	return 0, nil
}

func (p *plugin) Synchronize(_ context.Context, pods []*api.PodSandbox, containers []*api.Container) ([]*api.ContainerUpdate, error) {
	var names []string
	for _, pod := range pods {
		names = append(names, pod.GetId())
	}
	for _, container := range containers {
		names = append(names, container.GetPodSandboxId()+"/"+container.GetId())
	}
	sort.Strings(names)
	if len(names) > 8 {
		names = []string{fmt.Sprint(len(pods)), "pods", fmt.Sprint(len(containers)), "containers"}
	}
	p.say("Synchronize %s", strings.Join(names, " "))
	if p.hold {
		p.input.Scan()
	}
	if p.hang == "Synchronize" {
		time.Sleep(time.Hour)
	}
	return nil, nil
}

func (p *plugin) Shutdown(context.Context) {
	p.say("Shutdown")
}

func (p *plugin) RunPodSandbox(ctx context.Context, pod *api.PodSandbox) error {
	return p.called(ctx, "RunPodSandbox", pod, nil)
}

func (p *plugin) UpdatePodSandbox(ctx context.Context, pod *api.PodSandbox, _, _ *api.LinuxResources) error {
	return p.called(ctx, "UpdatePodSandbox", pod, nil)
}

func (p *plugin) PostUpdatePodSandbox(ctx context.Context, pod *api.PodSandbox) error {
	return p.called(ctx, "PostUpdatePodSandbox", pod, nil)
}

func (p *plugin) StopPodSandbox(ctx context.Context, pod *api.PodSandbox) error {
	return p.called(ctx, "StopPodSandbox", pod, nil)
}

func (p *plugin) RemovePodSandbox(ctx context.Context, pod *api.PodSandbox) error {
	return p.called(ctx, "RemovePodSandbox", pod, nil)
}

func (p *plugin) CreateContainer(ctx context.Context, pod *api.PodSandbox, container *api.Container) (*api.ContainerAdjustment, []*api.ContainerUpdate, error) {
	if err := p.called(ctx, "CreateContainer", pod, container); err != nil {
		return nil, nil, err
	}
	adjust := &api.ContainerAdjustment{}
	if name, value, set := strings.Cut(p.env, "="); set {
		adjust.AddEnv(name, value)
	} else if name != "" {
		adjust.RemoveEnv(name[1:])
	}
	if name, value, set := strings.Cut(p.annotation, "="); set {
		adjust.AddAnnotation(name, value)
	} else if name != "" {
		adjust.RemoveAnnotation(name[1:])
	}
	if source, destination, set := strings.Cut(p.mount, ":"); set {
		adjust.AddMount(&api.Mount{Source: source, Destination: destination, Type: "bind", Options: []string{"rbind", "ro"}})
	} else if source != "" {
		adjust.RemoveMount(source[1:])
	}
	if p.device != "" {
		device := &api.LinuxDevice{Type: "c"}
		fmt.Sscanf(strings.ReplaceAll(p.device, ":", " "), "%s %d %d", &device.Path, &device.Major, &device.Minor)
		adjust.AddDevice(device)
	}
	if p.memory != 0 {
		adjust.SetLinuxMemoryLimit(p.memory)
	}
	return adjust, nil, nil
}

func (p *plugin) PostCreateContainer(ctx context.Context, pod *api.PodSandbox, container *api.Container) error {
	return p.called(ctx, "PostCreateContainer", pod, container)
}

func (p *plugin) StartContainer(ctx context.Context, pod *api.PodSandbox, container *api.Container) error {
	return p.called(ctx, "StartContainer", pod, container)
}

func (p *plugin) PostStartContainer(ctx context.Context, pod *api.PodSandbox, container *api.Container) error {
	return p.called(ctx, "PostStartContainer", pod, container)
}

func (p *plugin) UpdateContainer(ctx context.Context, pod *api.PodSandbox, container *api.Container, limits *api.LinuxResources) ([]*api.ContainerUpdate, error) {
	if err := p.called(ctx, "UpdateContainer", pod, container); err != nil {
		return nil, err
	}
	if p.memory == 0 {
		return nil, nil
	}
	return []*api.ContainerUpdate{p.limit(container.GetId())}, nil
}

func (p *plugin) PostUpdateContainer(ctx context.Context, pod *api.PodSandbox, container *api.Container) error {
	return p.called(ctx, "PostUpdateContainer", pod, container)
}

func (p *plugin) StopContainer(ctx context.Context, pod *api.PodSandbox, container *api.Container) ([]*api.ContainerUpdate, error) {
	if err := p.called(ctx, "StopContainer", pod, container); err != nil {
		return nil, err
	}
	if p.update == "" || p.update == container.GetId() {
		return nil, nil
	}
	return []*api.ContainerUpdate{p.limit(p.update)}, nil
}

func (p *plugin) RemoveContainer(ctx context.Context, pod *api.PodSandbox, container *api.Container) error {
	return p.called(ctx, "RemoveContainer", pod, container)
}

func (p *plugin) ValidateContainerAdjustment(_ context.Context, request *api.ValidateContainerAdjustmentRequest) error {
	if p.judge == "" {
		return nil
	}
	if owner, set := request.GetOwners().EnvOwner(request.GetContainer().GetId(), p.judge); set {
		return fmt.Errorf("%s has set %s", owner, p.judge)
	}
	return nil
}

func (p *plugin) limit(container string) *api.ContainerUpdate {
	update := &api.ContainerUpdate{}
	update.SetContainerId(container)
	update.SetLinuxMemoryLimit(p.memory)
	return update
}

func main() {
	p := &plugin{out: os.Stdout}
	p.flags(flag.CommandLine)
	name := flag.String("name", "", "name")
	index := flag.String("index", "", "index")
	socket := flag.String("socket", "", "socket")
	flag.Parse()
	var options []stub.Option
	if *socket != "" {
		p.input = bufio.NewScanner(os.Stdin)
		options = append(options, stub.WithSocketPath(*socket), stub.WithPluginName(*name), stub.WithPluginIdx(*index))
	}
	options = append(options, stub.WithOnClose(func() {
		p.say("Closed")
		os.Exit(0)
	}))
	var err error
	if p.stub, err = stub.New(p, options...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := p.stub.Start(context.Background()); err != nil {
		p.say("Failed %v", err)
		os.Exit(1)
	}
	if p.input != nil && !p.hold {
		for p.input.Scan() {
			failed, err := p.stub.UpdateContainers([]*api.ContainerUpdate{p.limit(p.update)})
			p.say("Updated %d failed %v", len(failed), err)
		}
		os.Exit(0)
	}
	p.stub.Wait()
	time.Sleep(time.Hour)
}
