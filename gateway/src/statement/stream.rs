//! All lines of a period, a page a reading: the next is read when the last has gone out, and none any more once whoever
//! asked has hung up.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use payments::store::{BooksReader, ExportPage, Period, SubmitError};
use units::AccountId;

use super::Form;

/// An export under way, its first page read.
#[derive(Debug)]
pub struct Lines {
    books: BooksReader,
    account: Option<AccountId>,
    period: Period,
    form: Form,
    page: ExportPage,
}

impl Lines {
    /// Begins; what cannot be read at all is said before anything is sent.
    ///
    /// # Errors
    /// [`SubmitError`] if the books cannot be read.
    pub async fn begin(
        books: BooksReader,
        account: Option<AccountId>,
        period: Period,
        form: Form,
    ) -> Result<Self, SubmitError> {
        let page = books.export(account, period, None).await?;
        Ok(Self { books, account, period, form, page })
    }

    /// The pages as bytes. Ends with an error if the books cannot be read on: what was sent is not all then.
    pub fn bytes(self) -> impl Stream<Item = Result<Bytes, SubmitError>> + Send {
        let head = Bytes::from(self.form.head());
        let pages = stream::try_unfold(self, async |mut state| {
            while state.page.lines.is_empty() {
                let Some(place) = state.page.next.take() else { return Ok(None) };
                state.page = state.books.export(state.account, state.period, Some(place)).await?;
            }
            let mut text = String::new();
            for line in std::mem::take(&mut state.page.lines) {
                state.form.write(&line, &mut text);
            }
            Ok(Some((Bytes::from(text), state)))
        });
        stream::iter([Ok(head)]).chain(pages).try_filter(|bytes| std::future::ready(!bytes.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use payments::{
        admission::Admission,
        journal::Journal,
        ledger::{AccountRole, Actor, Body, Command},
        store::{Store, StoreSettings},
    };
    use units::{Livemode, NanoCny, Timestamp};

    use super::*;

    #[tokio::test]
    async fn an_export_reads_no_further_than_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(&folder.path().join("journal")).unwrap();
        let (admission, journal) = (Arc::new(Admission::default()), Arc::new(journal));
        let store =
            Store::open(StoreSettings { folder: folder.path().to_owned(), admission, journal }).unwrap();
        let id = AccountId::new(Timestamp(1));
        let submit = async |key: String, body| {
            let (actor, at) = (Actor::system("test"), Timestamp(1));
            let command = Command { key, actor, reason: None, approver: None, at, body };
            store.slot().await.unwrap().send(command.into())
        };
        let (livemode, name, role) = (Livemode::Demo, "test".to_owned(), AccountRole::Customer);
        submit("open".to_owned(), Body::OpenAccount { id, livemode, name, role }).await;
        let promo = || Body::GrantPromo { account: id, amount: NanoCny::new(1), expires_at: None };
        for number in 0..1_200 {
            submit(format!("promo:{number}"), promo()).await;
        }
        store.flushed().await.unwrap();

        let lines =
            Lines::begin(BooksReader::from(&store), Some(id), Period::ALL, Form::Jsonl).await.unwrap();
        let mut pages = std::pin::pin!(lines.bytes());
        let first = pages.try_next().await.unwrap().unwrap();
        let count = |page: &Bytes| page.iter().filter(|byte| **byte == b'\n').count();
        let mut taken = count(&first);
        assert!(taken < 1_200, "a page at a time");
        // Had the rest been read ahead, it would be without this line.
        submit("late".to_owned(), promo()).await.committed().await.unwrap();
        while let Some(page) = pages.try_next().await.unwrap() {
            taken += count(&page);
        }
        assert_eq!(taken, 1_201);
        store.close().await;
    }
}
