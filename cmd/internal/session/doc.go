// Package session turns the flags that all binaries share into what a command
// works with: configuration, site, run database, log and selection.
//
// The configuration is the file of --config, else of $CAX_CONFIG, else
// ./cax.json, else $XDG_CONFIG_HOME/cax/cax.json. A file that was named and is not
// there is an error, never a reason to look further.
//
// The site that we are is that of --host, else $HOSTNAME, else the machine's name
// up to the first dot. A name that is no site is an error, never a guess.
package session
