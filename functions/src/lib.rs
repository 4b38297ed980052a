//! The Session Warden Lambdas.
