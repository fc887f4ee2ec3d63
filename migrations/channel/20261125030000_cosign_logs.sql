-- The partners' witnesses cosign our logs (C2SP tlog-witness), and a log of which a witness knows more than this database holds
-- is halted: it grows by nothing that we would sign anew until it extends again what was cosigned.

create table cosignatures (
    log text not null,
    size bigint not null,
    witness text not null,
    line text not null,
    at timestamptz not null,
    constraint cosignatures_pk primary key (log, size, witness),
    constraint cosignatures_size check (size > 0)
);
comment on table cosignatures is 'What partners'' witnesses signed of our checkpoints, each line verified before it was kept. The key serves "the largest of this log" and "the first after an entry".';
comment on column cosignatures.witness is 'The name of the witness''s key.';
comment on column cosignatures.line is 'The signature line as verified, without its newline: it stands below the note of the checkpoint of that size.';
comment on column cosignatures.at is 'When it was kept; the witness''s own time stands in the line.';
create trigger cosignatures_append_only before update or delete or truncate on cosignatures for each statement execute function refuse_change();

create table pushes (
    log text not null,
    token uuid not null,
    until timestamptz not null,
    constraint pushes_pk primary key (log)
);
comment on table pushes is 'Which instance is submitting a log''s checkpoint at this moment. A lease that is over holds nobody up.';

alter table heads
    add column halted text constraint heads_halted check (halted in ('rollback', 'fork')),
    add column witness_size bigint,
    add column halted_at timestamptz,
    add constraint heads_halted_whole check ((halted is null) = (witness_size is null) and (halted is null) = (halted_at is null));
comment on column heads.halted is 'Why nothing is appended: rollback, a witness cosigned a larger log than this; fork, it cosigned another history. Read under the row''s lock, so that no instance appends past it. Null once the witness cosigns what is here.';
comment on column heads.witness_size is 'The size that the witness named.';

create or replace function only_grow() returns trigger language plpgsql as $$
begin
    if new.log <> old.log or new.size < old.size
        or (new.size = old.size and (new.root, new.frontier) is distinct from (old.root, old.frontier)) then
        raise exception 'a log head only grows: % to %', old.size, new.size using errcode = 'check_violation';
    end if;
    return new;
end $$;

grant select, insert on cosignatures to onechannel_app;
grant select, insert, update on pushes to onechannel_app;
