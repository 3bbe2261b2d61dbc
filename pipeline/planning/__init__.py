"""What an experiment will cost in paper, ink and time, and how sure its answers can be, before the first sheet is printed."""

from pipeline.planning.plan_records import Assumptions, Cost, Plan, PlannedCell, Proposal
from pipeline.planning.plan_text import plan_text
from pipeline.planning.planner import plan
