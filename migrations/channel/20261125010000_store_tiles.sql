-- The tree as tiles (C2SP tlog-tiles): any proof is computed from a few of them, and a folder of them verifies without a database.
--
-- Tiles follow from the entries. They are written after the entries were committed, never in their transaction, and they are
-- written once: what differs from its entries was changed by somebody who may more than the gateway, and is named when the log is
-- checked. Only full tiles are stored; a partial one is computed when it is asked for.

create table tiles (
    log text not null,
    level smallint not null,
    idx bigint not null,
    root bytea not null,
    hashes bytea not null,
    constraint tiles_pk primary key (log, level, idx),
    constraint tiles_level check (level between 0 and 6),
    constraint tiles_idx check (idx >= 0),
    constraint tiles_root check (octet_length(root) = 32),
    constraint tiles_full check (octet_length(hashes) = 8192)
);
alter table tiles alter column hashes set storage external;
comment on table tiles is 'Full tiles of the tree, one row each, written once. Their key finds a tile by its place, a row of roots for the tile one level up, and the last tile of a level, after which building goes on.';
comment on column tiles.level is '0 for leaf hashes; a hash of level n stands for 256^n leaves. No log reaches a full tile of level 7.';
comment on column tiles.idx is 'Position within the level: the first hash is number idx * 256 of its level.';
comment on column tiles.root is 'Root over the hashes: the tile''s own hash one level up, so that a partial tile there is read from the rows of the level below without their hashes.';
comment on column tiles.hashes is '256 SHA-256 hashes one after another; random bytes, so they are not compressed.';

create trigger tiles_append_only before update or delete or truncate on tiles for each statement execute function refuse_change();

grant select, insert on tiles to onechannel_app;
