//! Tests at the border: a real PostgreSQL, real bytes. One binary, one private server, a database of its own for each test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attacks;
mod certificates;
mod changes;
mod channel;
mod commands;
mod contracts;
mod cosigning;
mod delivery;
mod documents;
mod erasure;
mod evidence;
mod faults;
mod fuzz;
mod histories;
mod identifiers;
mod inbox;
mod journal;
mod keys;
mod kit;
mod ledger;
mod lifecycle;
mod ministry;
mod openapi;
mod oracles;
mod outbound;
mod postgres;
mod purposes;
mod refusals;
mod restarts;
mod rooms;
mod routes;
mod samples;
mod support;
mod time_stamps;
mod views;
mod witness;
