//! `warden record`.
mod echo;
