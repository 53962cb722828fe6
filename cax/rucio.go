package cax

// RucioOptions say what ruciax does beyond the configuration.
type RucioOptions struct {
	// Rules are those of a rule file; nil: [LookRules].
	Rules []RuleRequest

	// Path, if not "", is the dataset that is uploaded in place of what the record of
	// this site's copy names. Its files have to be those of the run's manifest.
	Path string
}

// RucioTasks are the tasks of ruciax, in the order in which a cycle runs them: copies from
// and to catalogues, and the rules there.
func RucioTasks(o RucioOptions) []Task {
	if o.Rules == nil {
		o.Rules = LookRules()
	}
	catalogue := []Method{MethodRucio}
	return []Task{
		copyTask{methods: catalogue},
		copyTask{push: true, methods: catalogue, path: o.Path},
		ruleTask{requests: o.Rules},
	}
}

// RulesOnly reports whether a program with these rules and a site without a task_list
// only looks after rules, and uploads nothing.
func RulesOnly(rules []RuleRequest) bool {
	for _, q := range rules {
		if !q.VerificationOnly {
			return false
		}
	}
	return len(rules) > 0
}
