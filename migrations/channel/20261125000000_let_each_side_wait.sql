-- Where either side may ask, each waits for the other's answer: a clock for each who asked. And what is said of a crisis in messages
-- about somebody in it.

alter table clocks drop constraint clocks_pk, add constraint clocks_pk primary key (subject, name, case_tag, authority);

create table mentions (
    token bytea not null,
    kind text not null,
    authority text not null,
    value text not null,
    at timestamptz not null,
    constraint mentions_pk primary key (token, kind, authority)
);
comment on table mentions is 'The last that each authority said of something, such as a crisis, in messages that are filed elsewhere: its clocks stop by it. A withdrawal of such a message leaves it: it was said.';
comment on column mentions.token is 'Blind token of the identifier by which it was named, as in link_keys.';
comment on column mentions.kind is 'Kind of the fact.';
comment on column mentions.at is 'When it was said.';

grant select, insert, update on mentions to onechannel_app;
