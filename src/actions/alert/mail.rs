//! Mail. In a build without the feature `mail` there is only what says so.
//!
//! A repeat of one step has the same `Message-ID`, by which mail servers and readers put the two together.

use futures_util::future::BoxFuture;

use super::channel::{Channel, Notice, Trouble};
use crate::actions::config::SmtpConfig;

pub(super) struct Mail(pub(super) SmtpConfig);

impl Channel for Mail {
    fn kind(&self) -> &'static str {
        "smtp"
    }

    fn send<'a>(&'a self, notice: &'a Notice, step: &'a str) -> BoxFuture<'a, Result<(), Trouble>> {
        Box::pin(smtp::send(&self.0, notice, step))
    }
}

#[cfg(not(feature = "mail"))]
mod smtp {
    use super::{Notice, SmtpConfig, Trouble};

    pub(super) async fn send(_: &SmtpConfig, _: &Notice, _: &str) -> Result<(), Trouble> {
        Err(Trouble::Final(
            "this build of Paramedic cannot send mail: build it with `--features mail`".into(),
        ))
    }
}

#[cfg(feature = "mail")]
mod smtp;

#[cfg(all(test, feature = "mail"))]
mod tests;
