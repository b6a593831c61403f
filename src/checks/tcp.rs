//! The check that connects and does what its steps say (`option tcp-check`).

use super::conversation::{ANSWER, Conversation};
use super::finding::{Finding, describe, excerpt};
use super::http::contains;
use super::target::Target;
use super::tls::TlsClient;
use crate::config::check::TcpStep;
use crate::topology::status::CheckStatus;

pub(super) async fn check(
    target: &Target<'_>,
    steps: &[TcpStep],
    tls: Option<&TlsClient>,
) -> Result<Finding, Finding> {
    if steps.is_empty() {
        return connect(target, tls).await;
    }
    let mut connected = None;
    for (index, step) in steps.iter().enumerate() {
        let place = Place {
            number: index + 1,
            of: steps.len(),
            step,
        };
        if let TcpStep::Connect(port) = step {
            let target = target.at_port(*port);
            connected = Some(
                target
                    .talk(tls)
                    .await
                    .map_err(|finding| place.blame(finding))?,
            );
            continue;
        }
        let conversation = match &mut connected {
            Some(conversation) => conversation,
            // Steps that do not begin by a connect use the server's own port.
            None => connected.insert(target.talk(tls).await?),
        };
        run(conversation, step)
            .await
            .map_err(|finding| place.blame(finding))?;
    }
    let expects = |step: &TcpStep| matches!(step, TcpStep::Expect(_) | TcpStep::ExpectRegex(_));
    Ok(match (steps.iter().any(expects), tls) {
        (true, _) => Finding::passed(""),
        (false, Some(_)) => Finding::new(CheckStatus::L6Ok, ""),
        (false, None) => Finding::new(CheckStatus::L4Ok, ""),
    })
}

/// The check without steps.
async fn connect(target: &Target<'_>, tls: Option<&TlsClient>) -> Result<Finding, Finding> {
    if tls.is_none() {
        target.touch().await?;
        return Ok(Finding::new(CheckStatus::L4Ok, ""));
    }
    target.open(tls).await?;
    Ok(Finding::new(CheckStatus::L6Ok, ""))
}

/// A step and where it stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    number: usize,
    of: usize,
    step: &'a TcpStep,
}

impl Place<'_> {
    /// Puts the step in front of what went wrong in it.
    fn blame(self, mut finding: Finding) -> Finding {
        let Self { number, of, step } = self;
        let step = shown(step);
        finding.info = format!("step {number} of {of} ({step}): {}", finding.info);
        finding
    }
}

/// The step as configured, without what it sends, which may be a password.
fn shown(step: &TcpStep) -> String {
    match step {
        TcpStep::Connect(port) => format!("connect {port}"),
        TcpStep::Send(_) => "send".to_owned(),
        TcpStep::Expect(bytes) => format!("expect \"{}\"", excerpt(bytes)),
        TcpStep::ExpectRegex(pattern) => {
            format!(
                "expect_regex \"{}\"",
                excerpt(pattern.0.as_str().as_bytes())
            )
        }
    }
}

async fn run(conversation: &mut Conversation, step: &TcpStep) -> Result<(), Finding> {
    match step {
        TcpStep::Connect(_) => Ok(()),
        TcpStep::Send(bytes) => conversation.send(bytes.reveal(), "the bytes").await,
        TcpStep::Expect(wanted) => {
            let matches = |answer: &[u8]| contains(answer, wanted);
            expect(conversation, matches).await
        }
        TcpStep::ExpectRegex(pattern) => {
            let matches = |answer: &[u8]| pattern.0.is_match(answer);
            expect(conversation, matches).await
        }
    }
}

/// Reads until all that came since the last send matches.
async fn expect(
    conversation: &mut Conversation,
    matches: impl Fn(&[u8]) -> bool,
) -> Result<(), Finding> {
    let deadline = conversation.deadline();
    let reading = async {
        loop {
            if matches(conversation.received()) {
                return Ok(());
            }
            if conversation.is_full() {
                return Err(format!(
                    "not found in the first {ANSWER} bytes of the answer"
                ));
            }
            match conversation.read().await {
                Ok(0) => return Err("the connection was closed before".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(describe(&error)),
            }
        }
    };
    let (status, info) = match deadline.wait(reading).await {
        Some(Ok(())) => return Ok(()),
        Some(Err(info)) => (CheckStatus::L7Response, info),
        None => (CheckStatus::L7Timeout, deadline.passed("no match")),
    };
    let answer = match conversation.received() {
        [] => "nothing came".to_owned(),
        received => format!("the answer was \"{}\"", excerpt(received)),
    };
    Err(Finding::new(status, format!("{info}; {answer}")))
}
