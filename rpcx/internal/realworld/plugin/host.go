package main

import (
	"bufio"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"strings"

	"github.com/hashicorp/yamux"
)

// Values is the service that the host offers for one call.
type Values map[string]string

// Get returns a value.
func (v Values) Get(name string, value *string) error {
	var ok bool
	if *value, ok = v[name]; !ok {
		return fmt.Errorf("no value of %s", name)
	}
	return nil
}

// textID is the number of the plugin's service.
const textID = 1

// A plugged is a plugin that runs.
type plugged struct {
	cmd    *exec.Cmd
	broker *broker
	client *rpc.Client
}

// plug starts a plugin.
func plug() (*plugged, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &plugged{cmd: exec.Command(path, "serve")}
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	session, err := yamux.Client(stdio{out, in}, nil)
	if err != nil {
		return nil, err
	}
	p.broker = newBroker(session)
	go p.broker.run()
	p.client, err = p.broker.dial(textID)
	return p, err
}

// unplug ends the plugin, by force if wanted, and returns how it ended.
func (p *plugged) unplug(force bool) string {
	if force {
		p.cmd.Process.Kill() //nolint:errcheck // it may be gone
	}
	p.client.Close()         //nolint:errcheck // it may be closed
	p.broker.session.Close() //nolint:errcheck // likewise
	p.cmd.Wait()             //nolint:errcheck // its state says it
	return p.cmd.ProcessState.String()
}

// host runs the commands of its input. A plugin that fails is replaced.
func host(in io.Reader) error {
	p, err := plug()
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		command, text, _ := strings.Cut(lines.Text(), " ")
		answer, err := p.run(command, text)
		switch err.(type) {
		case nil:
			fmt.Println(answer)
		case rpc.ServerError:
			fmt.Println("error:", err)
		default:
			fmt.Println("the plugin has failed")
			fmt.Fprintln(os.Stderr, "host:", err)
			p.unplug(true)
			if p, err = plug(); err != nil {
				return err
			}
		}
	}
	fmt.Println("the plugin:", p.unplug(false))
	return lines.Err()
}

func (p *plugged) run(command, text string) (answer string, err error) {
	switch command {
	case "pid":
		return fmt.Sprint(p.cmd.Process.Pid), nil
	case "count":
		var doc Document
		if err := p.client.Call("Text.Count", text, &doc); err != nil {
			return "", err
		}
		for _, part := range doc.Parts {
			answer += fmt.Sprint(part.Title, " ", part.Words, ", ")
		}
		return answer + fmt.Sprint(doc.Title, " ", doc.Words), nil
	case "expand":
		id, err := p.broker.offer("Values", Values{"who": "world", "what": "net/rpc"})
		if err != nil {
			return "", err
		}
		defer p.broker.withdraw(id)
		err = p.client.Call("Text.Expand", Expansion{text, id}, &answer)
		return answer, err
	case "all":
		return p.all(text)
	}
	err = p.client.Call("Text."+command, text, &answer)
	return answer, err
}

// all has many calls at once, each with one back.
func (p *plugged) all(text string) (string, error) {
	answers := make(chan string, 50)
	for range cap(answers) {
		go func() {
			answer, err := p.run("expand", text)
			if err != nil {
				answer = err.Error()
			}
			answers <- answer
		}()
	}
	count := make(map[string]int)
	for range cap(answers) {
		count[<-answers]++
	}
	return fmt.Sprint(count), nil
}
