-- Which keys were destroyed, so that a backup does not bring them back; and the epochs of the key-encryption key.

create table erasure_list (
    n bigint generated always as identity constraint erasure_list_pk primary key,
    erasure uuid not null,
    line text not null
);
comment on table erasure_list is 'Erasures, written before their keys go. The same lines stand in a file outside of both databases; what one of them has forgotten the other knows.';
comment on column erasure_list.line is 'JSON: the erasure, whom it is about, which keys.';
create index erasure_list_by_erasure on erasure_list (erasure);

create function erasures_stay() returns trigger language plpgsql as $$
begin
    raise exception 'the list of erasures is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger erasure_list_append_only before update or delete or truncate on erasure_list for each statement execute function erasures_stay();

create table epochs (
    epoch integer constraint epochs_pk primary key,
    opened_at timestamptz not null,
    retired_at timestamptz
);
comment on table epochs is 'Epochs of the key-encryption key.';
comment on column epochs.retired_at is 'When nothing was wrapped under it any more: nothing is wrapped under it again, and its key is to be destroyed.';
insert into epochs (epoch, opened_at) select epoch, min(created_at) from keys group by epoch;
create index keys_by_epoch on keys (epoch, id);

comment on column keys.owner is 'The subjects, sorted, and the retention class: `uuid,uuid/class`. One key each. `retired:` before it: about to be destroyed, nothing new is sealed under it.';
grant select, insert on erasure_list to onechannel_app;
grant select, insert, update on epochs to onechannel_app;
grant update on keys to onechannel_app;
