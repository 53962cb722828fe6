package tsmtest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

func (p *program) printf(format string, a ...any) { fmt.Fprintf(p.out, format+"\n", a...) }

func (p *program) banner() {
	now := time.Now().UTC()
	p.printf("IBM Storage Protect")
	p.printf("Command Line Backup-Archive Client Interface")
	p.printf("  Client Version 8, Release 1, Level 27.0 ")
	p.printf("  Client date/time: %s", p.date(now))
	p.printf("(c) Copyright IBM Corp. 1990, 2025. All Rights Reserved. ")
	p.printf("")
	p.printf("Node Name: CAXTEST")
}

func (p *program) established() {
	now := p.date(time.Now().UTC())
	p.printf("Session established with server TAPES: Linux/x86_64")
	p.printf("  Server Version 8, Release 1, Level 27.000")
	p.printf("  Server date/time: %s  Last access: %s", now, now)
	p.printf("")
	if p.set.AsNode != "" {
		p.printf("Accessing as node: %s", p.set.AsNode)
	}
}

// style of numbers and times: what the options say, else the settings.
func (p *program) style() string {
	if p.call.options["numberformat"] == "1" || p.set.Style == "" {
		return "en"
	}
	return p.set.Style
}

func (p *program) date(t time.Time) string {
	day, clock := "01/02/2006", "15:04:05"
	switch p.set.Style {
	case "de":
		day = "02.01.2006"
	case "sv":
		day, clock = "2006-01-02", "15.04.05"
	}
	if p.call.options["dateformat"] == "3" {
		day = "2006-01-02"
	}
	if p.call.options["timeformat"] == "1" {
		clock = "15:04:05"
	}
	return t.Format(day + " " + clock)
}

// count groups the digits of a number.
func (p *program) count(n int64) string {
	sep := map[string]string{"en": ",", "de": ".", "sv": "\u00a0", "ch": "'"}[p.style()]
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + sep + s[i:]
	}
	return s
}

// number has two decimals.
func (p *program) number(x float64) string {
	whole, part, _ := strings.Cut(strconv.FormatFloat(x, 'f', 2, 64), ".")
	n, _ := strconv.ParseInt(whole, 10, 64)
	point := ","
	if s := p.style(); s == "en" || s == "ch" {
		point = "."
	}
	return p.count(n) + point + part
}

func (p *program) bytes(n int64) string {
	if n < 1024 {
		return p.count(n) + "  B"
	}
	x, unit := float64(n)/1024, 0
	for ; x >= 1024 && unit < 3; unit++ {
		x /= 1024
	}
	return p.number(x) + " " + []string{"KB", "MB", "GB", "TB"}[unit]
}

// statistic prints a line whose number ends in column 47.
func (p *program) statistic(label, value string) {
	number, unit := value, ""
	if i := strings.LastIndexAny(value, "0123456789"); i >= 0 {
		number, unit = value[:i+1], value[i+1:]
	}
	width := max(47-len([]rune(label)), len([]rune(number))+1)
	p.printf("%s%*s%s", label, width, number, unit)
}

// object prints what happens to an object that is sent.
func (p *program) object(prefix, kind string, size int64, path, end string) {
	p.printf("%s%s-->%*s %s%s", prefix, kind, 32-len(kind)-len("-->"), p.count(size), path, end)
}

// sums prints the statistics of a run.
func (p *program) sums(verb string) {
	elapsed := time.Since(p.began)
	p.printf("")
	send := verb == "archived" || verb == "backed up"
	if send {
		p.statistic("Total number of objects inspected:", p.count(p.inspected))
	}
	p.statistic("Total number of objects "+verb+":", p.count(p.moved))
	if send {
		p.statistic("Total number of objects updated:", "0")
		p.statistic("Total number of objects rebound:", "0")
		p.statistic("Total number of objects deleted:", "0")
		p.statistic("Total number of objects expired:", p.count(p.expired))
	}
	p.statistic("Total number of objects failed:", p.count(p.failed))
	if send {
		p.statistic("Total number of objects encrypted:", "0")
		p.statistic("Total number of objects grew:", "0")
		p.statistic("Total number of retries:", p.count(p.retries))
		p.statistic("Total number of bytes inspected:", p.bytes(p.seen))
	}
	p.statistic("Total number of bytes transferred:", p.bytes(p.sum))
	rate := 0.0
	if s := elapsed.Seconds(); s > 0 && p.sum > 0 {
		rate = float64(p.sum) / 1024 / s
	}
	p.statistic("Data transfer time:", p.number(elapsed.Seconds())+" sec")
	p.statistic("Network data transfer rate:", p.number(rate)+" KB/sec")
	p.statistic("Aggregate data transfer rate:", p.number(rate)+" KB/sec")
	if send {
		p.statistic("Objects compressed by:", "0%")
		reduction := 100.0
		if p.seen > 0 {
			reduction = 100 * (1 - float64(p.sum)/float64(p.seen))
		}
		p.statistic("Total data reduction ratio:", p.number(reduction)+"%")
	}
	s := int(elapsed.Seconds())
	p.statistic("Elapsed processing time:", fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60))
}

// row prints a row of a query, in two lines where it is too long.
func (p *program) row(s string) {
	if w := p.set.Wrap; w > 0 && len(s) > w {
		p.printf("%s\n%s", s[:w], s[w:])
		return
	}
	p.printf("%s", s)
}

// size is a column of 14 and one of 3.
func (p *program) size(n int64) string {
	const most = 100_000_000_000
	s, unit := p.count(n), "  B"
	if n >= most {
		s, unit = p.count((n+1023)/1024), " KB"
	}
	return strings.Repeat(" ", max(0, 14-len([]rune(s)))) + s + unit
}
