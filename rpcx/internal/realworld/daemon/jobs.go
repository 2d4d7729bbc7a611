package main

import (
	"fmt"
	"sync"
	"time"
)

// Jobs is the daemon's service.
type Jobs struct {
	mu   sync.Mutex // protects following
	list []*running
}

// Spec describes a job to be run.
type Spec struct {
	Name string
	Time time.Duration
	Env  map[string]string
}

// Job is what is known of a job.
type Job struct {
	ID    int
	Spec  Spec
	State string // "running", "done" or "canceled"
}

// Missing is the answer to a question for a job that there is not.
type Missing struct{ ID int }

func (m Missing) Error() string { return fmt.Sprintf("no job %d", m.ID) }

// running is a job with what is needed to end it.
type running struct {
	job    Job
	timer  *time.Timer
	ended  chan struct{} // closed when it has
	cancel sync.Once
}

// Submit starts a job and returns its number.
func (j *Jobs) Submit(spec Spec, id *int) error {
	if spec.Name == "" {
		return fmt.Errorf("a job needs a name")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	r := &running{job: Job{ID: len(j.list) + 1, Spec: spec, State: "running"}, ended: make(chan struct{})}
	r.timer = time.AfterFunc(spec.Time, func() { j.end(r, "done") })
	j.list = append(j.list, r)
	*id = r.job.ID
	return nil
}

// List returns all jobs.
func (j *Jobs) List(_ struct{}, jobs *[]Job) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.list {
		*jobs = append(*jobs, r.job)
	}
	return nil
}

// Wait returns a job once it has ended.
func (j *Jobs) Wait(id int, job *Job) error {
	r, err := j.find(id)
	if err != nil {
		return err
	}
	<-r.ended
	j.mu.Lock()
	defer j.mu.Unlock()
	*job = r.job
	return nil
}

// Cancel ends a job.
func (j *Jobs) Cancel(id int, job *Job) error {
	r, err := j.find(id)
	if err != nil {
		return err
	}
	j.end(r, "canceled")
	return j.Wait(id, job)
}

func (j *Jobs) find(id int) (*running, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if id < 1 || id > len(j.list) {
		return nil, Missing{id}
	}
	return j.list[id-1], nil
}

func (j *Jobs) end(r *running, state string) {
	r.cancel.Do(func() {
		j.mu.Lock() // which Submit holds until there is a timer
		r.timer.Stop()
		r.job.State = state
		j.mu.Unlock()
		close(r.ended)
	})
}
