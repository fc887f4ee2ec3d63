-- What two officers decided about trust, and every public key that ever counted.

create table crl_graces (
    id uuid primary key,
    party text not null,
    until timestamptz not null,
    basis text not null,
    first_officer text not null,
    second_officer text not null constraint crl_graces_two_officers check (second_officer <> first_officer),
    at timestamptz not null
);
comment on table crl_graces is 'Extensions by two officers: until when expired CRLs of a party still say who is good. The greatest counts.';

create table public_keys (
    party text not null,
    purpose text not null constraint public_keys_purpose check (purpose in ('gateway', 'message', 'answer', 'log')),
    kid text not null,
    key text not null,
    first_seen_at timestamptz not null,
    constraint public_keys_once primary key (party, purpose, key)
);
comment on table public_keys is 'Every public signing key with which the gateway ever started: evidence is checked by it after the key is withdrawn. key = JWK (RFC 7517), of a log the C2SP verifier key.';

grant select, insert on crl_graces, public_keys to onechannel_app;
