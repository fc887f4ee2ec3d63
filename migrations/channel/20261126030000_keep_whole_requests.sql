-- A signature is over the whole of a request or a page. Where several messages came in one, each is kept by itself, and the whole once
-- more, so that its sender's signature can be shown for each.

alter table requests
    add column party text not null,
    add column body_tag bytea not null constraint requests_once unique,
    add column messages uuid[] not null,
    add column stored uuid[] not null;
comment on table requests is 'Bodies of requests and pages in which several messages came, exactly as they were signed. Each is sealed under a key of its own, which goes with any of the people whom it tells of.';
comment on column requests.body_tag is 'Keyed digest of party and body: the same page is kept once. Of one that was emptied, its id.';
comment on column requests.messages is 'Every message that came in it, repeats too: whoever is erased takes it along.';
comment on column requests.stored is 'Those that were stored when they came in it: their kept signature is the one over this body.';
create index requests_by_message on requests using gin (messages);
grant update on requests to onechannel_app;
