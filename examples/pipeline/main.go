// Command pipeline runs a daemon with a task of its own beside those of cax: it
// looks for runs that have two good copies of their raw data and tags them
// "safe", as a group might want for its web page.
//
//	pipeline -config cax.json -host midway -db sqlite:/data/runs.db
package main

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"log"
	"os/signal"
	"strings"
	"syscall"

	"github.com/cax-go/cax/cax"
	"github.com/cax-go/cax/rundb"
	"github.com/cax-go/cax/rundb/sqlitestore"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	config := flag.String("config", "cax.json", "configuration")
	host := flag.String("host", "", "site that we are")
	db := flag.String("db", "", "path of the embedded run database")
	flag.Parse()
	if err := run(ctx, *config, *host, strings.TrimPrefix(*db, "sqlite:")); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, config, host, db string) error {
	cfg, err := cax.Load(config)
	if err != nil {
		return err
	}
	site, ok := cfg.Site(host)
	if !ok {
		return fmt.Errorf("no site %q in %s", host, config)
	}
	driver, err := sqlitestore.Open(ctx, db, nil)
	if err != nil {
		return err
	}
	store := &rundb.Store{Driver: driver, By: "pipeline at " + host}
	defer store.Close()
	owner, err := cax.ThisProcess(host)
	if err != nil {
		return err
	}
	env := cax.NewEnv(cfg, site, store, owner)
	defer env.Close()

	daemon := cax.NewDaemon(env)
	daemon.Tasks = append(daemon.Tasks, safe{})
	return daemon.Run(ctx)
}

// safe tags runs that have two good copies of their raw data.
type safe struct{}

func (safe) Name() string { return "TagSafe" }

func (safe) Select(*cax.Env) []cax.Candidates {
	return []cax.Candidates{{Query: rundb.Query{
		NotTags: []string{"safe"},
		Copies:  []rundb.CopyMatch{{Types: []rundb.Type{rundb.Raw}, Statuses: []rundb.Status{rundb.Transferred}}},
	}}}
}

func (t safe) Plan(ctx context.Context, env *cax.Env, runs iter.Seq2[*rundb.Run, error]) iter.Seq2[cax.Action, error] {
	return func(yield func(cax.Action, error) bool) {
		for r, err := range runs {
			a, good := cax.Action{}, 0
			if err == nil {
				for range r.Copies(rundb.CopyMatch{Types: []rundb.Type{rundb.Raw}, Statuses: []rundb.Status{rundb.Transferred}}) {
					good++
				}
				d := cax.Decision{Task: t.Name(), Verb: cax.Skip, What: "tag", Run: r.ID, Number: r.Number, Name: r.Name,
					Why: fmt.Sprintf("%d good copies", good)}
				if good >= 2 {
					d.Verb = cax.Do
				}
				a = cax.NewAction(d, "", func(ctx context.Context) error {
					tags := append(r.Tags, rundb.Tag{Name: "safe", User: env.Store.By})
					return env.Store.SetRun(ctx, r.ID, bson.D{{Key: "tags", Value: tags}})
				})
			}
			if !yield(a, err) {
				return
			}
		}
	}
}
