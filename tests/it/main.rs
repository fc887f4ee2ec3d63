//! Tests at the border: a real PostgreSQL, real bytes. One binary, one private server, a database of its own for each test.

mod journal;
mod keys;
mod postgres;
mod support;
