package ruciotest

// configuration is the rucio.cfg of the server and its daemons. Validated tokens are
// not cached, as an installation may choose, so that SQL can expire them; the address
// for caches is one where nobody listens.
const configuration = `[common]
loglevel = INFO
[client]
rucio_host = %[1]s
auth_host = %[1]s
auth_type = userpass
username = root
password = secret
account = root
[database]
default = %[2]s
schema = dev
pool_size = 5
max_overflow = 10
[cache]
url = 127.0.0.1:1
use_external_cache_for_auth_tokens = True
[bootstrap]
userpass_identity = root
userpass_pwd = secret
userpass_email = root@localhost
[alembic]
cfg = %[3]s
[policy]
lfn2pfn_algorithm_default = hash
[conveyor]
scheme = file,mock
transfertool = mock
`

// migrations is the alembic.ini, without which the tables are not made.
const migrations = `[alembic]
script_location = rucio.db.sqla:migrate_repo
sqlalchemy.url = %s
version_table_schema = dev
[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARN
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic
[formatter_generic]
format = %%(levelname)s %%(name)s %%(message)s
`
