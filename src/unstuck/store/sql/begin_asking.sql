-- An order manager is to be asked to let an order go on: first it is looked at.
INSERT INTO resume_work (token, step, due, fence, way, asked, looks, answer, before)
VALUES ($1, 'LOOK', $2, 0, 0, 0, 0, '', '')
