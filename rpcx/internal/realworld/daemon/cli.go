package main

import (
	"bufio"
	"fmt"
	"io"
	"net/rpc"
	"strconv"
	"strings"
	"time"
)

// once is one command on a connection of its own.
func once(socket string, args []string) error {
	client, err := rpc.DialHTTP("unix", socket)
	if err != nil {
		return err
	}
	defer client.Close()
	return run(client, args)
}

// shell runs the commands of its input on one connection.
func shell(socket string, in io.Reader) error {
	client, err := rpc.DialHTTP("unix", socket)
	if err != nil {
		return err
	}
	defer client.Close()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := run(client, strings.Fields(lines.Text())); err != nil {
			fmt.Println("error:", err)
		}
	}
	return lines.Err()
}

func run(client *rpc.Client, args []string) error {
	args = append(args, "", "", "")
	switch args[0] {
	case "submit":
		return submit(client, args[1], args[2])
	case "list":
		var jobs []Job
		if err := client.Call("Jobs.List", struct{}{}, &jobs); err != nil {
			return err
		}
		fmt.Println(len(jobs), "jobs")
		for _, job := range jobs {
			show(job)
		}
		return nil
	case "wait":
		return byID(client, "Jobs.Wait", args[1])
	case "cancel":
		return byID(client, "Jobs.Cancel", args[1])
	}
	return fmt.Errorf("no command %q", args[0])
}

func submit(client *rpc.Client, name, took string) error {
	d, err := time.ParseDuration(took)
	if err != nil {
		return err
	}
	var id int
	if err := client.Call("Jobs.Submit", Spec{Name: name, Time: d, Env: map[string]string{"HOME": "/"}}, &id); err != nil {
		return err
	}
	fmt.Println("job", id)
	return nil
}

// byID calls a method that takes the number of a job and returns it.
func byID(client *rpc.Client, method, id string) error {
	n, err := strconv.Atoi(id)
	if err != nil {
		return err
	}
	var job Job
	switch err := client.Call(method, n, &job).(type) {
	case nil:
		show(job)
		return nil
	case rpc.ServerError:
		fmt.Println("the daemon says:", err)
		return nil
	default:
		return err
	}
}

func show(job Job) {
	fmt.Printf("%d %s %s %v\n", job.ID, job.Spec.Name, job.State, job.Spec.Env)
}
