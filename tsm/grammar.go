package tsm

import (
	"regexp"
	"sync"
)

// A grammar is what dsmc's lines look like.
type grammar struct {
	product, client, server, version51           *regexp.Regexp
	clientTime, serverTime                       *regexp.Regexp
	node, asNode, established                    *regexp.Regexp
	frame                                        *regexp.Regexp
	message, serverPrefix, serverSuffix, logTime *regexp.Regexp
	processed                                    *regexp.Regexp
	sent, brought                                *regexp.Regexp
	statistic, quantity, clock                   *regexp.Regexp
	field                                        *regexp.Regexp
	row, backupRest, expiry, defaultDescription  *regexp.Regexp
	underline, heading                           *regexp.Regexp
	detail, volume, retention                    *regexp.Regexp
	filespace                                    *regexp.Regexp
	prompt                                       *regexp.Regexp
	stampParts                                   *regexp.Regexp
}

// theGrammar is made when the first output is read, and never changes: to compile it
// takes longer than to read most outputs.
var theGrammar = sync.OnceValue(newGrammar)

func newGrammar() *grammar {
	re := regexp.MustCompile
	const date = datePattern + `\s+` + timePattern
	return &grammar{
		product:     re(`^(?:IBM )?(?:Tivoli Storage Manager|Spectrum Protect|Storage Protect)\s*$`),
		client:      re(`^(?:TSM Backup-Archive)?\s*Client Version (\d+), Release (\d+), Level (\d+)\.(\d+)\s*$`),
		server:      re(`^\s*Server Version (\d+), Release (\d+), Level (\d+)\.(\d+)\s*$`),
		version51:   re(`^Command Line .* - Version (\d+), Release (\d+), Level (\d+)\.(\d+)\s*$`),
		clientTime:  re(`^\s*Client date/time: (.*?)\s*$`),
		serverTime:  re(`^\s*Server date/time: (.*?)\s+Last access: (.*?)\s*$`),
		node:        re(`^Node Name: (.*?)\s*$`),
		asNode:      re(`^Accessing as node: (.*?)\s*$`),
		established: re(`^Session established with server ([^:]+): (.*?)\s*$`),

		frame: re(`^(?:Command Line Backup.*|\([cC]\) Copyright .*|Restartable Restore.*` +
			`|(?:Selective Backup|Archive|Restore|Retrieve) (?:function invoked\.|processing finished\.|processing of '.*' finished .*)` +
			`|Incremental backup of volume '.*'|Successful incremental backup of '.*'` +
			`|>>>>>> .* <<<<<<|IBM .* Server Connection Information)\s*$`),

		message:      re(`^(AN[A-Z])(\d{4})([IWES])(?:\s+(.*))?$`),
		serverPrefix: re(`^ANE\d{4}[IWES]\s+(?:\.\.\.\s*)?`),
		serverSuffix: re(`\s*\(SESSION: \d+\)\s*$`),
		logTime:      re(`^` + date + `\s+`),
		processed:    re(`^\*{5} (?:Processed|Examined)\s+([\d.,' \x{a0}\x{202f}\x{fffd}]+?)\s+files \*{5}`),

		sent: re(`^(?:Retry # (\d+)\s+)?(Normal File|Directory|Special File|Symbolic Link|Updating|Expiring|Rebinding)-->` +
			`\s*([\d.,' \x{a0}\x{202f}\x{fffd}]*?)\s(/.*?|\\\\.*?)(?: (\[Sent\])| {1,2}(Changed|\*\* Unsuccessful \*\*))\s*$`),
		brought: re(`^(Restoring|Retrieving)\s+(?:([\d.,' \x{a0}\x{202f}\x{fffd}]+?)\s+)?(/.*|\\\\.*) \[Done\]\s*$`),

		statistic: re(`^([A-Z][A-Za-z][A-Za-z \-]{0,60}):\s*(\S.*?)\s*$`),
		quantity:  re(`^(\d[\d.,' \x{a0}\x{202f}\x{fffd}]*?)\s*(B|KB|MB|GB|TB|PB|sec|KB/sec|MB/sec|GB/sec|%)?$`),
		clock:     re(`^(\d+):(\d\d):(\d\d)$`),

		field: re(`^([A-Z][A-Za-z /-]*?)\.*: ?(.*?)\s*$`),

		row:        re(`^\s*(\d[\d.,' \x{a0}\x{202f}\x{fffd}]*?)(?:\s+(B|KB|MB|GB|TB|PB))?\s+(` + datePattern + `)\s+(` + timePattern + `)\s+(.*)$`),
		backupRest: re(`^(\S+)\s+([AI])\s{1,2}(.+)$`),
		expiry:     re(` (Never|Nie|` + datePattern + `)(?: |$)`),
		// Ten characters, whatever the format of the date.
		defaultDescription: re(` (\S+) (Archive Date: .{10})$`),
		underline:          re(`^[\s-]*--[\s-]*$`),
		heading:            re(`^\s*(?:Size\s+(?:Archive|Backup) Date.*|#\s+Last Incr Date.*)$`),
		detail:             re(`^\s+(?:Modified: .*|Compression Type: .*|Media Class: .*)$`),
		retention:          re(`  RetInit:\S+\s+ObjHeld:\S+\s*$`),
		volume:             re(`Volume ID:\s*(\S+)`),
		filespace:          re(`^\s*(\d+)\s+(?:(` + date + `)\s+)?(\S+)\s+(/.*?)\s*$`),
		prompt: re(`^(?:--- User Action is Required ---|Please enter your user id .*|Please enter password for .*` +
			`|Enter encryption key password:.*|Confirm encryption key password:.*|Enter Index of rule.*)\s*$`),
		stampParts: stampParts(),
	}
}
