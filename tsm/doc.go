// Package tsm drives dsmc, the backup-archive client of IBM Storage Protect
// (Spectrum Protect, Tivoli Storage Manager), and reads what it prints.
//
// dsmc has no machine-readable output. A [Client] therefore fixes everything on
// which its text depends (locale, formats of dates and numbers, no prompts), believes
// the exit code first, then the codes of messages, then numbers, and never a
// sentence. What was archived is believed only when a query shows it: [Uncovered].
//
// Nothing in this package deletes anything from tape.
//
// # Archive and backup
//
// An archive copy (archive, query archive, retrieve) stays until its retention ends,
// whatever happens to the file. A backup (incremental, query backup, restore) follows
// the file: the next incremental run over a path that is gone marks its backup
// inactive, and the server drops it some time later. New datasets are archived;
// backups are for what the original cax wrote. [Client.Restore] asks for the latest
// version whether active or not, which also keeps the server from leaving a
// restartable session behind (see [Client.PendingRestores]).
//
// Each archive run makes a new copy. A description that no other run has, given to
// [Client.Archive], tells the copies of a path apart.
//
// # One recall, many datasets
//
// A tape is mounted for minutes. [PlanRecall] puts the files of many datasets into as
// few retrieve runs as there are, so that the server reads each tape once, in its
// order. Files come to DEST/<path without its file space>; [Placed] finds them.
//
// # Staging
//
// Sites whose tape namespace is flat want the files of a dataset under the names
// <run>_<file>. [Stage] makes such a folder, by hard links or clones where the file
// system can; [Unstage] removes it; [UndoPrefix] gives retrieved files their names
// back, only where the prefix is there.
//
// # What is read
//
//	ParseRun             incremental, selective, archive, restore, retrieve; logs of
//	                     the scheduler and of the server with the same lines
//	ParseQueryArchive    query archive, also with -detail
//	ParseQueryBackup     query backup, also with -inactive
//	ParseQueryFilespace  query filespace
//	ParseQuerySession    query session
//	ParseLog             log files of the original cax and of this one
//
// All understand the numbers of every locale (1,234.56 · 1.234,56 · 1 234,56 ·
// 1'234.56), rows that were wrapped, sizes in KB, names of any bytes but newlines.
// Labels and lines that are not known are kept, never an error.
//
//	printed                                          read as
//	Normal File-->        85,113 /a/b  Changed       [Transfer]
//	Retry # 1  Normal File-->  85,113 /a/b [Sent]    [Transfer]
//	Retrieving   607 /a/b --> /c/b [Done]            [Transfer]
//	Total number of bytes inspected:   438.16 GB     [Statistic]
//	ANS1092W No files matching …                     [Message]
//	 607  B  04/07/2019 07:30:15    /a/b Never text  [Object]
//	4,096  B  07/12/2020 14:09:12  STANDARD  A  /a/b [Object]
//	1  2024-09-13 04:16:26   EXT4   /                [Filespace]
//	Server Type.............: Linux/x86_64           [Field]
//
// # Errors
//
// Errors are [*Error] with a kind: ErrNotInstalled, ErrConfig, ErrAuth, ErrTransient,
// ErrNotExist, ErrExist, ErrPermission, ErrNoSpace, ErrIncomplete, ErrPending,
// ErrPrompt, ErrStalled, ErrInvalid, ErrUnsupported, ErrFailed. Context errors pass
// through.
package tsm
