//! Who is speaking, and did they say this: certificates, tokens, client assertions, digests and message signatures.
//!
//! This room verifies and returns what it proved. It does not remember: a nonce or `jti` comes back *unspent* and the
//! caller's store spends it once across instances; revoked tokens and suspended parties are looked up by the caller on
//! every request. It knows no HTTP framework, no SQL and no party.

/// One table a room of refusals: the variant, its stable word for problem details, its sentence.
macro_rules! faults {
    ($(#[$about:meta])* $name:ident { $($variant:ident = $reason:literal, $sentence:literal;)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum $name {
            $(#[doc = $sentence] #[error($sentence)] $variant,)+
        }

        impl $name {
            /// A stable word for problem details, audit and metrics.
            pub fn reason(self) -> &'static str {
                match self {
                    $(Self::$variant => $reason,)+
                }
            }
        }
    };
}

pub mod anchors;
pub mod assertion;
pub mod digest;
pub mod httpsig;
pub(crate) mod jws;
pub mod keys;
pub mod tls;
pub mod token;
