//! Asks for what the command line does not wish.

use std::io::{self, BufRead, Write};

use super::sender::{Recipient, Sender, domain};
use super::wishes::{Hours, Wishes, display_name, network};
use crate::redact::printable;

/// Asks about each wish of which nothing is said, until the answer can be read. An empty answer
/// wishes nothing, and the end of the input ends the questions.
pub(super) fn ask(
    wishes: &mut Wishes,
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "Empty answers leave it open; several answers have commas between them.")?;
    let mut asked = Asked { input, out, is_over: false };
    asked.about(
        "As whom may it send? An address, or @example.com for all of a domain",
        Sender::parse,
        &mut wishes.from,
    )?;
    asked.about(
        "Under which display name, to the letter?",
        display_name,
        &mut wishes.display_name,
    )?;
    asked.about(
        "Where do bounces go, as MAIL FROM says it? An address, or @example.com",
        Sender::parse,
        &mut wishes.feedback,
    )?;
    asked.about("To which domain alone?", domain, &mut wishes.to_domain)?;
    asked.about("To whom never? A domain, or an address", Recipient::parse, &mut wishes.deny_to)?;
    asked.about(
        "When alone? As 2027-03-01T08:00Z/2027-03-01T18:00Z",
        Hours::parse,
        &mut wishes.hours,
    )?;
    asked.about("From which network alone? As 192.0.2.0/24", network, &mut wishes.network)
}

struct Asked<'a, I, O> {
    input: &'a mut I,
    out: &'a mut O,
    /// The input has ended, and with it the questions.
    is_over: bool,
}

impl<I: BufRead, O: Write> Asked<'_, I, O> {
    fn about<T>(
        &mut self,
        question: &str,
        parse: fn(&str) -> Result<T, String>,
        answers: &mut Vec<T>,
    ) -> io::Result<()> {
        while answers.is_empty() && !self.is_over {
            write!(self.out, "{question}: ")?;
            self.out.flush()?;
            let mut line = String::new();
            if self.input.read_line(&mut line)? == 0 {
                self.is_over = true;
                writeln!(self.out)?;
            }
            let parts = line.split(',').map(str::trim).filter(|part| !part.is_empty());
            let parts: Vec<&str> = parts.collect();
            if parts.is_empty() {
                return Ok(());
            }
            match parts.iter().map(|part| parse(part)).collect() {
                Ok(read) => *answers = read,
                Err(problem) => writeln!(self.out, "  {}", printable(&problem))?,
            }
        }
        Ok(())
    }
}
