"""Fills a new database: tables, the VO, the account root with all rights."""
from rucio.db.sqla.util import build_database, create_base_vo, create_root_account

build_database()
create_base_vo()
create_root_account()

from rucio.common.types import InternalAccount  # noqa: E402
from rucio.core.account import add_account_attribute  # noqa: E402
from rucio.db.sqla.constants import DatabaseOperationType  # noqa: E402
from rucio.db.sqla.session import db_session  # noqa: E402

# Without this attribute root has no quota anywhere.
with db_session(DatabaseOperationType.WRITE) as session:
    add_account_attribute(account=InternalAccount('root'), key='admin', value=True, session=session)
