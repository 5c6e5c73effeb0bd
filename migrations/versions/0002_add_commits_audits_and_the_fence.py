"""Add commits, audits and the fence.

Revision: 0002
Follows: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "repos",
        sa.Column("account_host", sa.Text(), nullable=True, comment="the upstream whose seq account_seq is"),
        schema="network",
    )
    op.add_column(
        "repos",
        sa.Column("commit_cid", sa.LargeBinary(), nullable=True, comment="of the commit that the rows stand for"),
        schema="network",
    )
    op.alter_column(
        "repos",
        "account_seq",
        comment="seq of the last #account applied",
        existing_comment="seq of the last #account applied from the present upstream",
        schema="network",
    )
    # What was a doubt about every repository is an audit from now on, which tells those that differ.
    op.execute("UPDATE network.repos SET cause = 'audit' WHERE cause IN ('outdated-cursor', 'upstream-restarted')")
    op.create_table(
        "audits",
        sa.Column("requested_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("finished_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("counts", postgresql.JSON(), nullable=True, comment="repositories by what was found"),
        sa.PrimaryKeyConstraint("requested_at", name=op.f("audits_pkey")),
        schema="network",
        comment="Comparisons of every repository with its host",
    )
    op.create_table(
        "leadership",
        sa.Column("single", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False, comment="how often the lead was taken"),
        sa.Column(
            "batch",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="the last batch that is written",
        ),
        sa.CheckConstraint("single", name=op.f("leadership_single_check")),
        sa.PrimaryKeyConstraint("single", name=op.f("leadership_pkey")),
        schema="network",
        comment="What a writer must find as it left it, or it is not the one that leads",
    )
    op.execute("INSERT INTO network.leadership (epoch) VALUES (0)")
