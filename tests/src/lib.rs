//! Whole paths of Session Warden, end to end.
