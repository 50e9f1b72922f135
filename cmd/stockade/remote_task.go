package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stockade.dev/stockade/internal/api/client"
	"stockade.dev/stockade/internal/fault"
)

// taskRow is what the commands show of a task.
type taskRow struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Trigger    string    `json:"trigger"`
	Status     string    `json:"status"`
	Actor      string    `json:"actor"`
	CreatedAt  time.Time `json:"createdAt"`
	FinishedAt time.Time `json:"finishedAt"`
	Progress   struct {
		Items       int   `json:"items"`
		Done        int   `json:"done"`
		Failed      int   `json:"failed"`
		Images      int   `json:"images"`
		ImagesTotal int   `json:"imagesTotal"`
		RemainingMS int64 `json:"remainingMs"`
	} `json:"progress"`
}

// taskItem is a part of a task.
type taskItem struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Status   string `json:"status"`
	Code     string `json:"code"`
	Error    string `json:"error"`
	Attempt  int    `json:"attempt"`
	Progress *struct {
		Phase       string `json:"phase"`
		Objects     int    `json:"objects"`
		Images      int    `json:"images"`
		ImagesTotal int    `json:"imagesTotal"`
		Findings    int    `json:"findings"`
	} `json:"progress"`
}

func (t taskRow) ended() bool {
	switch t.Status {
	case "finished", "partial", "failed", "canceled":
		return true
	}
	return false
}

func (t taskRow) far() string {
	text := fmt.Sprintf("%d of %d", t.Progress.Done, t.Progress.Items)
	if t.Progress.ImagesTotal > 0 {
		text += fmt.Sprintf(", images %d of %d", t.Progress.Images, t.Progress.ImagesTotal)
	}
	if t.Progress.Failed > 0 {
		text += fmt.Sprintf(", %d failed", t.Progress.Failed)
	}
	return text
}

func taskCommand(s streams) *cobra.Command {
	r := &remote{s: s}
	return r.group("task", "Scan tasks of a server", r.taskList(), r.taskStart(), r.taskShow(), r.taskWatch(),
		r.taskDo("cancel", "Cancel a task: what was found stays"), r.taskDo("retry", "Do again what failed of a task"))
}

func (r *remote) taskList() *cobra.Command {
	var status, cluster string
	cmd := &cobra.Command{Use: "list", Short: "List tasks, the newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := url.Values{}
			set(q, "status", status)
			if cluster != "" {
				c, err := r.open()
				if err != nil {
					return err
				}
				id, err := named(cmd.Context(), c, "/clusters", cluster)
				if err != nil {
					return err
				}
				q.Set("targetId", id)
			}
			return list(cmd.Context(), r, "/tasks", q, []string{"ID", "NAME", "TRIGGER", "STATUS", "PROGRESS", "STARTED BY", "CREATED", "FINISHED"}, func(t taskRow) []string {
				done := ""
				if t.ended() {
					done = ago(t.FinishedAt)
				}
				return []string{t.ID, t.Name, t.Trigger, t.Status, t.far(), t.Actor, ago(t.CreatedAt), done}
			})
		}}
	cmd.Flags().StringVar(&status, "status", "", "ready, running, finished, partial, failed or canceled")
	cmd.Flags().StringVar(&cluster, "cluster", "", "tasks about this cluster: name or id")
	r.limited(cmd)
	return cmd
}

func (r *remote) taskStart() *cobra.Command {
	var name string
	var items []string
	var all, watch bool
	var imagesPerHour, parallelImages int
	cmd := &cobra.Command{Use: "start CLUSTER...", Short: "Scan clusters now",
		Example: "  stockade task start shop --watch\n  stockade task start --all --items configuration,permissions",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			if all == (len(args) > 0) {
				return usage("name clusters, or give --all")
			}
			body := map[string]any{}
			var ids []string
			for _, a := range args {
				id, err := named(cmd.Context(), c, "/clusters", a)
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			if all {
				body["allClusters"] = true
			} else {
				body["clusterIds"] = ids
			}
			if name != "" {
				body["name"] = name
			}
			if len(items) > 0 {
				body["items"] = items
			}
			budget := map[string]int{}
			if imagesPerHour > 0 {
				budget["imagesPerHour"] = imagesPerHour
			}
			if parallelImages > 0 {
				budget["parallelImages"] = parallelImages
			}
			if len(budget) > 0 {
				body["budget"] = budget
			}
			var made taskRow
			if err := call(cmd.Context(), r, http.MethodPost, "/tasks", body, func(t taskRow) { made = t; r.pairs("id", t.ID, "name", t.Name, "status", t.Status) }); err != nil {
				return err
			}
			if watch && r.form != "json" {
				return r.watchTask(cmd.Context(), c, made.ID)
			}
			return nil
		}}
	fl := cmd.Flags()
	fl.StringVar(&name, "name", "", "name of the task")
	fl.StringSliceVar(&items, "items", nil, "what to scan for: system-vulnerabilities, application-vulnerabilities, emergency, configuration, compliance, sensitive-information, permissions, images (default all)")
	fl.BoolVar(&all, "all", false, "all clusters")
	fl.BoolVar(&watch, "watch", false, "wait for the end")
	fl.IntVar(&imagesPerHour, "images-per-hour", 0, "most images that are pulled in an hour")
	fl.IntVar(&parallelImages, "parallel-images", 0, "most images that are read at once")
	return cmd
}

func (r *remote) showTask(t taskRow) {
	r.pairs("id", t.ID, "name", t.Name, "trigger", t.Trigger, "status", t.Status, "progress", t.far(), "started by", t.Actor, "created", ago(t.CreatedAt))
}

func (r *remote) taskShow() *cobra.Command {
	return &cobra.Command{Use: "show ID", Short: "Show a task: each cluster with its state and why it failed", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/tasks/" + url.PathEscape(args[0])
			if err := call(cmd.Context(), r, http.MethodGet, path, nil, r.showTask); err != nil || r.form == "json" {
				return err
			}
			fmt.Fprintln(r.s.out)
			return r.taskItems(cmd.Context(), path)
		}}
}

func (r *remote) taskItems(ctx context.Context, path string) error {
	return list(ctx, r, path+"/items", nil, []string{"KIND", "NAME", "STATUS", "PHASE", "OBJECTS", "IMAGES", "FINDINGS", "FAILURE"}, func(i taskItem) []string {
		row := []string{i.Kind, i.Name, i.Status, "", "", "", "", strings.TrimSpace(i.Code + " " + i.Error)}
		if p := i.Progress; p != nil {
			row[3], row[4], row[5], row[6] = p.Phase, strconv.Itoa(p.Objects), fmt.Sprintf("%d/%d", p.Images, p.ImagesTotal), strconv.Itoa(p.Findings)
		}
		return row
	})
}

func (r *remote) taskDo(verb, short string) *cobra.Command {
	return &cobra.Command{Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return call(cmd.Context(), r, http.MethodPost, "/tasks/"+url.PathEscape(args[0])+"/"+verb, nil, r.showTask)
		}}
}

func (r *remote) taskWatch() *cobra.Command {
	return &cobra.Command{Use: "watch ID", Short: "Follow a task to its end", Args: cobra.ExactArgs(1),
		Long: "Follow a task to its end. The exit code is 0 when it finished, 3 when a part of it could not be scanned, 2 when it failed.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			return r.watchTask(cmd.Context(), c, args[0])
		}}
}

// watchTask follows a task by the server's events, and by asking now and then in case one is lost.
func (r *remote) watchTask(ctx context.Context, c *client.Client, id string) error {
	t, err := waitTask(ctx, c, id, func(t taskRow) {
		fmt.Fprintf(r.s.err, "%s: %s\n", t.Status, t.far())
	})
	if err != nil {
		return err
	}
	if err := r.taskItems(ctx, "/tasks/"+url.PathEscape(id)); err != nil {
		return err
	}
	switch t.Status {
	case "partial":
		return fault.New(fault.Partial, "a part of it could not be scanned")
	case "failed", "canceled":
		return fault.New(fault.Input, "the task is %s", t.Status)
	}
	return nil
}

// waitTask returns the task when it has ended. told is called when its progress changed.
func waitTask(ctx context.Context, c *client.Client, id string, told func(taskRow)) (taskRow, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news := make(chan struct{}, 1)
	go func() { // events only make it quicker: what they say is read anew
		for ctx.Err() == nil {
			for _, err := range c.Events(ctx, "/events?topic=task") {
				if err != nil {
					return
				}
				select {
				case news <- struct{}{}:
				default:
				}
			}
		}
	}()
	last := ""
	for {
		t, err := client.Get[taskRow](ctx, c, "/tasks/"+url.PathEscape(id), nil)
		if err != nil {
			return t, answered(err)
		}
		if now := t.Status + t.far(); now != last {
			last = now
			told(t)
		}
		if t.ended() {
			return t, nil
		}
		select {
		case <-ctx.Done():
			return t, errors.Join(ctx.Err(), fault.New(fault.Internal, "stopped waiting: the task goes on"))
		case <-news:
		case <-time.After(2 * time.Second):
		}
		select { // not more than a few questions a second
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}
